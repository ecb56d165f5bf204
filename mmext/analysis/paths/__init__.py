"""The method of the recursion paper (Liao et al., arXiv 2108.08689): from formulas to paths of gradient, and back."""
