// One end of a measurement; `compare` runs two of these, and says what they are.
//
//     heph_remote_bench heph|plain|tcp|zmq serve
//     heph_remote_bench heph|plain|tcp|zmq WHERE BODY_BYTES one-way|requests COUNT

#include <string>
#include <string_view>

#include "ends.hpp"

int main(int argc, char** argv) {
    const std::string_view how = argc > 2 ? argv[1] : "";
    const std::string where = argc > 2 ? argv[2] : "";
    const bool serves = where == "serve";
    if (argc < 3 || (!serves && argc != 6)) { bench::fail("see the top of remote_bench.cpp"); }
    const bench::load what = serves ? bench::load() : bench::load_of(argv + 3);
    if (how == "heph" || how == "plain") {
        const auto kind = how == "heph" ? bench::security::tls : bench::security::plain_text;
        return serves ? bench::serve_heph(kind) : bench::measure_heph(where, what, kind);
    }
    if (how == "tcp") { return serves ? bench::serve_tcp() : bench::measure_tcp(where, what); }
    if (how == "zmq") { return serves ? bench::serve_zmq() : bench::measure_zmq(where, what); }
    bench::fail("no such way to send");
}
