"""What all methods are solved by: what a solve may ask of the data, sums and graphs it is answered with, alignment."""
