"""LinDistFlow programs solved by HiGHS, balanced and per phase: dispatch.linear_dispatch."""
