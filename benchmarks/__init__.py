"""Figures for the README: each is a ratio against bare mitmdump, run beside it in the same minute."""
