"""Linear and nonlinear solves, and their implicit derivatives: no charges, no dipoles."""
