"""What only people need: the page, and the pictures of docs/images. No stand-in of a vendor imports it."""
