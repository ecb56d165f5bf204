"""``python -m mmext COMMAND``, as torchrun needs it: torchrun --nproc_per_node=8 -m mmext train CONFIG"""

from mmext.commands import main

if __name__ == '__main__':
    main()
