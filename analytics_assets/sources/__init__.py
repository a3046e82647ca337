"""Where rows come from: delivered files, and the synthetic shop."""
