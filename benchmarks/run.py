"""`make bench`: measure everything and write the tables."""

from benchmarks import stream, tables

if __name__ == "__main__":
    results = [stream.measure()]
    tables.write(results)
    for result in results:
        print(result.markdown())
