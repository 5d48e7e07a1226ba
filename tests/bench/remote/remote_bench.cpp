// One end of a measurement; `compare` runs two of these, and says what they are.
//
//     heph_remote_bench heph|tcp|zmq serve
//     heph_remote_bench heph|tcp|zmq WHERE BODY_BYTES one-way|requests COUNT

#include <cstdlib>
#include <string>
#include <string_view>

#include "ends.hpp"

int main(int argc, char** argv) {
    const std::string_view how = argc > 2 ? argv[1] : "";
    const std::string where = argc > 2 ? argv[2] : "";
    const bool serves = where == "serve";
    if (argc < 3 || (!serves && argc != 6)) { bench::fail("see the top of remote_bench.cpp"); }
    bench::load what;
    if (!serves) {
        what.body_bytes = std::strtoul(argv[3], nullptr, 10);
        const std::uint64_t count = std::strtoull(argv[5], nullptr, 10);
        const bool one_way = std::string_view(argv[4]) == "one-way";
        what.one_way = one_way ? count : 0;
        what.requests = one_way ? 0 : count;
    }
    if (how == "heph") { return serves ? bench::serve_heph() : bench::measure_heph(where, what); }
    if (how == "tcp") { return serves ? bench::serve_tcp() : bench::measure_tcp(where, what); }
    if (how == "zmq") { return serves ? bench::serve_zmq() : bench::measure_zmq(where, what); }
    bench::fail("no such way to send");
}
