"""Loops that the sums spend their time in; ``farfield.compiled.has_loops`` says where plain torch stands for them."""
