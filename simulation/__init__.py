"""The real stages on a virtual clock, for replay, rule tests and comparisons. Never shipped to Lambda."""
