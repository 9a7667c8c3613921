"""The express way: requests that are like those before them, served without a task for each."""
