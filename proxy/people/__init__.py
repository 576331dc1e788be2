"""The people file: who may answer holds, in which groups they are, and how they show who they are."""
