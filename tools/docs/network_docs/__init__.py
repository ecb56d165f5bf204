"""The page docs/networks.md, and its pictures, which are drawn from what the built networks compute."""
