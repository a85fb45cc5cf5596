"""The lessons: each file is one idea as pure functions whose numbers equal torch's; the pages draw them."""
