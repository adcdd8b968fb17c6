"""From what arrives to events: reading canonical JSON, who an event is about, what its url says. Pure."""
