# make demo, make demo-video, make test, make docs, make soak, make audit. All set the environment up first if it is not there.
# make gpu-check: whether mmext computes on a GPU what it computes on a processor, and how fast.
# make matrix: other versions of Python and torch, each in an environment of its own.
PYTHON ?= python3
PY = .venv/bin/python
DEMO = data/shapes
RUN = work_dirs/demo
EPOCHS = 10
# What the demo changes of the config: depth, data and schedule.
DEMO_CONFIG = configs/ssd300_iresnet50_coco.py --backbone iresnet18 --data-root $(DEMO) --classes auto --work-dir $(RUN)
DEMO_SCHEDULE = train_cfg.max_epochs=$(EPOCHS) train_cfg.val_interval=5 param_scheduler.1.milestones=[7,9] \
	optim_wrapper.optimizer.lr=0.005 train_dataloader.batch_size=8 train_dataloader.num_workers=1 \
	val_dataloader.num_workers=1 default_hooks.logger.interval=10
# The video demo: its clips, its run, and the run of the same network on single frames. CLIPS: a folder of any videos.
MOTION = data/motion
VIDEO_RUN = work_dirs/demo_video
FRAMES_RUN = $(VIDEO_RUN)_frames
CLIPS = $(if $(MMEXT_DATA),$(wildcard $(MMEXT_DATA)/video))
# The soak: MINUTES at most (else until all is done), some PARTS of it (kills inputs flat ranks disk), FRESH=1 anew.
SOAK = $(if $(MINUTES),--budget $(MINUTES)) $(if $(PARTS),--only $(PARTS)) $(if $(FRESH),--fresh)
# The GPU check: MINUTES at most (25), some PARTS of it (correctness speed results), FRESH=1 anew, DATA for the results.
GPU_CHECK = $(if $(MINUTES),--budget $(MINUTES)) $(if $(PARTS),--only $(PARTS)) $(if $(FRESH),--fresh) \
	$(if $(DATA),--data-root $(DATA))

.PHONY: setup demo demo-video test lint docs soak audit matrix gpu-check

setup:
	@$(PYTHON) tools/setup_env.py

demo: setup
	@echo "== 1/4 generate data: $(DEMO)"
	@$(PY) tools/make_shapes.py $(DEMO)
	@echo "== 2/4 train SSD300-iResNet18, $(EPOCHS) epochs of 160 images: 2 to 6 minutes on two cores"
	@$(PY) tools/train.py $(DEMO_CONFIG) --seed 0 --amp --overwrite --cfg-options $(DEMO_SCHEDULE)
	@echo "== 3/4 evaluate on 60 held-out images, and draw them"
	@$(PY) tools/test.py $(DEMO_CONFIG) $(RUN)/epoch_$(EPOCHS).pth --per-class --out $(RUN)/metrics.json --show-dir $(RUN)/pictures \
		--report $(RUN)/report --cfg-options test_dataloader.num_workers=1
	@echo "== 4/4 done: look at $(RUN)/report/index.html; metrics in $(RUN)/metrics.json, all pictures in $(RUN)/pictures"

demo-video: setup
	@echo "== 1/6 generate clips of six classes, which only motion tells apart: $(MOTION)"
	@$(PY) tools/make_motion.py $(MOTION)
	@echo "== 2/6 train iResNet3D-18, 10 epochs of 480 clips: 4 to 9 minutes on two cores"
	@$(PY) tools/train.py configs/demo/iresnet3d18_motion.py --data-root $(MOTION) --work-dir $(VIDEO_RUN) --seed 0 --amp --overwrite
	@echo "== 3/6 test it on 240 held-out clips, and draw some"
	@$(PY) tools/test.py configs/demo/iresnet3d18_motion.py $(VIDEO_RUN)/$$(cat $(VIDEO_RUN)/last_checkpoint) --data-root $(MOTION) \
		--work-dir $(VIDEO_RUN) --per-class --out $(VIDEO_RUN)/metrics.json --show-dir $(VIDEO_RUN)/pictures \
		--report $(VIDEO_RUN)/report
	@echo "== 4/6 what single frames tell: train and test iResNet-18 on one frame of each clip, 1 to 3 minutes"
	@$(PY) tools/train.py configs/demo/iresnet18_motion_frames.py --data-root $(MOTION) --work-dir $(FRAMES_RUN) --seed 0 --amp --overwrite
	@$(PY) tools/test.py configs/demo/iresnet18_motion_frames.py $(FRAMES_RUN)/$$(cat $(FRAMES_RUN)/last_checkpoint) --data-root $(MOTION) \
		--work-dir $(FRAMES_RUN) --out $(FRAMES_RUN)/metrics.json
ifeq ($(CLIPS),)
	@echo "== 5/6 no videos of your own to recognize; make demo-video CLIPS=folder"
else
	@echo "== 5/6 recognize the videos of $(CLIPS), 10 clips x 3 crops of each"
	@$(PY) tools/predict.py $(VIDEO_RUN)/$$(cat $(VIDEO_RUN)/last_checkpoint) $(CLIPS) --views 10x3 --out $(VIDEO_RUN)/clips
endif
	@echo "== 6/6 done: look at $(VIDEO_RUN)/report/index.html; metrics in $(VIDEO_RUN)/metrics.json, pictures: $(VIDEO_RUN)/pictures/sheet.png and clips.gif"
	@echo "   held-out top-1 of both; chance is 16.7, one class of six"
	@$(PY) tools/gather_runs.py $(VIDEO_RUN) $(FRAMES_RUN)

test: setup lint
	@$(PY) -m pytest

# The type checker's output is shown only if it finds an error.
lint:
	@$(PY) -m ruff check .
	@found=$$(.venv/bin/basedpyright --level error) || { echo "$$found"; exit 1; }

# The site, work_dirs/site/index.html. Its environment needs nothing of the product's.
docs: export NO_MKDOCS_2_WARNING = 1
docs:
	@test -x .venv/docs/bin/mkdocs || $(PYTHON) -m venv .venv/docs
	@.venv/docs/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/docs.txt
	@.venv/docs/bin/mkdocs build --quiet --strict --config-file tools/docs/site/mkdocs.yml
	@echo "look at work_dirs/site/index.html"

soak: setup
	@PYTHONPATH=$(CURDIR) $(PY) -m tests.soak.run $(SOAK)

gpu-check: setup
	@$(PY) tools/gpu_check.py $(GPU_CHECK)

# ROWS='3.12 3.11:2.6.0': some rows; SUITE=ends: the whole suite on the lowest and the highest Python.
matrix:
	@$(PYTHON) tools/matrix.py $(ROWS) $(if $(SUITE),--suite $(SUITE)) $(if $(FRESH),--fresh)

audit: setup
	@$(PY) tools/audit.py
