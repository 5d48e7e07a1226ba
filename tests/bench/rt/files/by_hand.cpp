#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

#include "reading.hpp"

namespace heph::bench {

void read_with_pread(work& all) {
    const int file = ::open(all.what().path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) { std::exit(1); }
    std::vector<char> bytes(all.what().bytes);
    while (const auto offset = all.next()) {
        const auto got = ::pread(file, bytes.data(), bytes.size(), static_cast<off_t>(*offset));
        all.done(static_cast<std::uint64_t>(got));
    }
    ::close(file);
}

}  // namespace heph::bench
