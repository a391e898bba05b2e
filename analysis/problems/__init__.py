"""What is measured, by kind of problem: one evaluator a file; every method of a suite goes through the same one."""
