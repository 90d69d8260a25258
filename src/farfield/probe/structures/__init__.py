"""What the laws are judged on where the user has given nothing: crystals, ions, molecules, a metal."""
