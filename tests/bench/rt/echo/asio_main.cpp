// Boost.Asio's echo server on io_uring, which is a matter of the whole program.
//
// Usage: heph_rt_echo_asio LISTENER

#include <cstdlib>

#include "servers.hpp"

int main(int count, char** arguments) {
    if (count != 2) { return 2; }
    heph::bench::serve_with_asio(std::atoi(arguments[1]));
}
