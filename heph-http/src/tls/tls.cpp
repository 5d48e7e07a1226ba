#include <heph/http/tls.hpp>

#include <optional>
#include <utility>

#include <heph/http/error.hpp>
#include <heph/rt/tls/stream.hpp>

#include "nested_channel.hpp"

namespace heph::http {

namespace {

class tls_channel final : public secure_channel {
public:
    tls_channel(rt::net::tcp_stream stream, rt::tls::engine secured, bool accepted)
        : stream_(std::move(stream), std::move(secured)), accepted_(accepted) {}

    [[nodiscard]] rt::net::tcp_stream& transport() noexcept override { return stream_.transport(); }

    polled<done> poll_handshake(const waker& waker) override {
        auto shaken = stream_.handshake().poll(waker);
        if (!shaken.is_ready() || shaken.value()) { return shaken; }
        if (accepted_ && shaken.value().error() == rt::tls::errc::plain_text_peer) {
            return done(std::unexpect, make_error_code(error::plain_on_tls_port));
        }
        return shaken;
    }
    polled<std::expected<rt::net::chunk, std::error_code>> poll_next(const waker& waker) override {
        return stream_.next().poll(waker);
    }
    polled<done> poll_send(const rt::buffer& bytes, std::size_t& taken,
                           const waker& waker) override {
        return stream_.poll_send(bytes, taken, waker);
    }
    polled<done> poll_shutdown(const waker& waker) override {
        return stream_.shutdown().poll(waker);
    }
    [[nodiscard]] std::optional<secure_session> session() const override {
        const rt::tls::engine& settled = stream_.secured();
        secure_session made;
        made.version = settled.version_name();
        made.cipher = settled.cipher_name();
        made.protocol = settled.protocol();
        made.server_name = settled.server_name();
        if (const auto peer = settled.peer()) {
            peer_identity& who = made.peer.emplace();
            who.subject = peer->subject();
            who.names = peer->names();
            who.fingerprint = peer->fingerprint();
        }
        return made;
    }
    [[nodiscard]] bool takes_file(std::uint64_t bytes) noexcept override {
        return stream_.offload_for(bytes);
    }
    polled<std::expected<std::uint64_t, std::error_code>> poll_send_file(
        const rt::fs::file& file, std::uint64_t offset, std::uint64_t count,
        const waker& waker) override {
        return stream_.poll_send_file(file, offset, count, waker);
    }
    void drop_file() noexcept override { stream_.drop_file(); }

private:
    rt::tls::stream stream_;
    bool accepted_;
};

using new_channel = std::expected<std::unique_ptr<secure_channel>, std::error_code>;

new_channel make_channel(rt::net::tcp_stream stream,
                         std::expected<rt::tls::engine, std::error_code> secured, bool accepted) {
    if (!secured) { return new_channel(std::unexpect, secured.error()); }
    return std::make_unique<tls_channel>(std::move(stream), std::move(*secured), accepted);
}

class tls_server final : public server_security {
public:
    explicit tls_server(rt::tls::server_context context) : context_(std::move(context)) {}
    [[nodiscard]] new_channel accept(rt::net::tcp_stream stream) const override {
        return make_channel(std::move(stream), context_.accept(), true);
    }

private:
    rt::tls::server_context context_;
};

class tls_client final : public client_security {
public:
    explicit tls_client(rt::tls::client_context context) : context_(std::move(context)) {}
    [[nodiscard]] new_channel connect(rt::net::tcp_stream stream,
                                      const std::string& host) const override {
        return make_channel(std::move(stream), context_.connect(host), false);
    }
    [[nodiscard]] new_channel connect_through(std::unique_ptr<secure_channel> outer,
                                              const std::string& host) const override {
        auto secured = context_.connect(host);
        if (!secured) { return new_channel(std::unexpect, secured.error()); }
        return std::make_unique<nested_channel>(std::move(outer), std::move(*secured));
    }

private:
    rt::tls::client_context context_;
};

}  // namespace

std::expected<rt::tls::server_context, rt::error> make_server_tls(rt::tls::server_config config) {
    if (config.protocols.empty()) { config.protocols.emplace_back("http/1.1"); }
    return rt::tls::server_context::make(config);
}

std::expected<rt::tls::client_context, rt::error> make_client_tls(rt::tls::client_config config) {
    if (config.protocols.empty()) { config.protocols.emplace_back("http/1.1"); }
    return rt::tls::client_context::make(config);
}

std::shared_ptr<const server_security> secured_by(rt::tls::server_context context) {
    return std::make_shared<tls_server>(std::move(context));
}

std::shared_ptr<const client_security> secured_by(rt::tls::client_context context) {
    return std::make_shared<tls_client>(std::move(context));
}

}  // namespace heph::http
