# Two commands: make demo, make test. Both set the environment up first if it is not there.
PYTHON ?= python3
PY = .venv/bin/python
DEMO = data/shapes
RUN = work_dirs/demo
EPOCHS = 8
# What the demo changes of the config: depth, data and schedule.
DEMO_CONFIG = configs/ssd300_iresnet50_coco.py --backbone iresnet18 --data-root $(DEMO) --classes auto --work-dir $(RUN)
DEMO_SCHEDULE = train_cfg.max_epochs=$(EPOCHS) train_cfg.val_interval=4 param_scheduler.1.milestones=[5,7] \
	optim_wrapper.optimizer.lr=0.01 train_dataloader.batch_size=8 train_dataloader.num_workers=1 \
	val_dataloader.num_workers=1 default_hooks.logger.interval=10

.PHONY: setup demo test lint

setup:
	@$(PYTHON) tools/setup_env.py

demo: setup
	@echo "== 1/4 generate data: $(DEMO)"
	@$(PY) tools/make_shapes.py $(DEMO)
	@echo "== 2/4 train SSD300-iResNet18, $(EPOCHS) epochs of 160 images: 5 to 8 minutes on two cores"
	@$(PY) tools/train.py $(DEMO_CONFIG) --seed 0 --cfg-options $(DEMO_SCHEDULE)
	@echo "== 3/4 evaluate on 60 held-out images, and draw them"
	@$(PY) tools/test.py $(DEMO_CONFIG) $(RUN)/epoch_$(EPOCHS).pth --per-class --out $(RUN)/metrics.json --show-dir $(RUN)/pictures \
		--cfg-options test_dataloader.num_workers=1
	@echo "== 4/4 done: metrics in $(RUN)/metrics.json, ground truth beside detections in $(RUN)/pictures"

test: setup lint
	@$(PY) -m pytest

lint:
	@$(PY) -m ruff check .
