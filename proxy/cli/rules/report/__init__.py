"""How problems of rule files are shown: to people, to GitHub, to other programs; one format a file."""
