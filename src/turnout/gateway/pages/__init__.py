"""What is served beside the API of models: the dashboard, alarms, feedback, the description."""
