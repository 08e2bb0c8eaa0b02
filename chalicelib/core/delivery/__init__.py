"""What is sent to targets: notifications, their text, the state of each target and the log of each delivery."""
