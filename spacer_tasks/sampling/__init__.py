"""Where on a photo points are placed: at random, in strata, on a grid."""
