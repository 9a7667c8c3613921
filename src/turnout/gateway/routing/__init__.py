"""What `model` may name, what a request asks of it, and routers asked beside the event loop."""
