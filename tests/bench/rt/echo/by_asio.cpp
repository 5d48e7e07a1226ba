#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <memory>
#include <utility>

#include "servers.hpp"

namespace heph::bench {

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

// By callbacks, Asio's fastest form.
class session : public std::enable_shared_from_this<session> {
public:
    explicit session(tcp::socket socket) : socket_(std::move(socket)) {}

    void receive() {
        socket_.async_read_some(
            asio::buffer(bytes_),
            [self = shared_from_this()](const boost::system::error_code& failed, std::size_t size) {
                if (!failed) { self->send_back(size); }
            });
    }

private:
    void send_back(std::size_t size) {
        asio::async_write(
            socket_, asio::buffer(bytes_.data(), size),
            [self = shared_from_this()](const boost::system::error_code& failed, std::size_t) {
                if (!failed) { self->receive(); }
            });
    }

    tcp::socket socket_;
    std::array<char, 1024> bytes_;
};

void accept(tcp::acceptor& acceptor) {
    acceptor.async_accept([&acceptor](const boost::system::error_code& failed, tcp::socket socket) {
        if (!failed) {
            socket.set_option(tcp::no_delay(true));
            std::make_shared<session>(std::move(socket))->receive();
        }
        accept(acceptor);
    });
}

}  // namespace

void serve_with_asio(int listener, std::string_view /*reply*/) {
    asio::io_context context(1);
    tcp::acceptor acceptor(context, tcp::v4(), listener);
    accept(acceptor);
    for (;;) { context.run(); }
}

}  // namespace heph::bench
