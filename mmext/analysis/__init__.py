"""What networks, formulas and runs tell: parameters, FLOPs, published figures, results and curves of trainings."""

CONVENTIONS = ('macs', 'iresnet', 'iresnet-cifar', 'cresnet', 'recursive')  # whose FLOPs ``complexity`` counts
