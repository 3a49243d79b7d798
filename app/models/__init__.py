"""The nouns of the domain as frozen values, imported from their modules. Times are aware UTC."""
