"""How people and sales tools reach leads from outside: writing feedback, asking a worker. Used by the command line and the web."""
