"""Make the data that the other parts read: an embedded world with the scans and images of the paper's size."""

from cases import read_case

if __name__ == "__main__":
    read_case(__doc__).stages("data").make_data()
