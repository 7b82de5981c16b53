"""Text tools that the word count imports from `wordtools.zip`."""
