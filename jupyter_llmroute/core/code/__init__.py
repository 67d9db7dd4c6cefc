"""What is known of code: symbols, their uses, what is wrong with them; from Serena, ty, jedi or `ast`."""
