"""Dead letters as people deal with them: read, looked at, given back to the topics they came from. The stages write them."""
