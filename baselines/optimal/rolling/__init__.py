"""Windows planned again and again, on the power flow linearised around the plan before."""
