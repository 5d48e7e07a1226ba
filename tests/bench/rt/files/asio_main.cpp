// Boost.Asio on io_uring, which is a matter of the whole program: its reads, for files_bench.
//
// Usage: heph_rt_files_asio PATH FILE_BYTES BYTES READS UNDER_WAY AT_RANDOM DESCRIPTOR

#include <unistd.h>

#include <cstdlib>

#include "reading.hpp"

int main(int count, char** arguments) {
    if (count != 8) { return 2; }
    const auto number = [arguments](int index) {
        return std::strtoull(arguments[index], nullptr, 10);
    };
    heph::bench::reading what;
    what.path = arguments[1];
    what.file_bytes = number(2);
    what.bytes = number(3);
    what.reads = number(4);
    what.under_way = number(5);
    what.at_random = number(6) != 0;
    heph::bench::work all(what);
    heph::bench::read_with_asio(all);
    const heph::bench::taken took = all.took();
    return ::write(static_cast<int>(number(7)), &took, sizeof(took)) == sizeof(took) ? 0 : 1;
}
