"""What the commands in script/ run: brings the platform up on embedded servers, supervises, tests and checks it."""
