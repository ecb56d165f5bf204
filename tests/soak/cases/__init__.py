"""Inputs that hypothesis draws, a file for each kind.

Each file has ``draw``, a strategy, and ``check``, which takes what was drawn and a folder that it may write into.
``check`` raises a UserError of one line where the input is refused, which is right, an AssertionError where a result is
wrong, and whatever our code raises, which is wrong too. ``ALLOWED`` names further exceptions that are right, of one
line each.
"""
