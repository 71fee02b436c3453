"""The pages of the documentation that are made when the site is built; `tools/site_hook.py` calls them."""
