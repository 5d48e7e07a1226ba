#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/random_access_file.hpp>
#include <cstdlib>
#include <vector>

#include "reading.hpp"

namespace heph::bench {

namespace {

namespace asio = boost::asio;

struct reader {
    work* all;
    asio::random_access_file* file;
    std::vector<char> bytes;

    // By callbacks, Asio's fastest form.
    void go_on() {
        const auto offset = all->next();
        if (!offset) { return; }
        file->async_read_some_at(*offset, asio::buffer(bytes),
                                 [this](const boost::system::error_code& failed, std::size_t got) {
                                     if (failed) { std::exit(1); }
                                     all->done(got);
                                     go_on();
                                 });
    }
};

}  // namespace

void read_with_asio(work& all) {
    asio::io_context context(1);
    asio::random_access_file file(context, all.what().path, asio::random_access_file::read_only);
    std::vector<reader> readers(all.what().under_way,
                                {&all, &file, std::vector<char>(all.what().bytes)});
    for (reader& each : readers) { each.go_on(); }
    context.run();
}

}  // namespace heph::bench
