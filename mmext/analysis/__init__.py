"""What networks, formulas and runs tell: parameters, FLOPs, published figures, results and curves of trainings."""
