"""What an unmapped tool does, read from its name and arguments: words, lexicon, reader, `act.*`."""
