// Files over TLS, by the kernel where it has TLS (tests/kernel/run), and without it.

#include <linux/tls.h>
#include <netinet/tcp.h>
#include <openssl/pem.h>

#include <array>
#include <catch2/catch.hpp>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include <heph/core/join.hpp>
#include <heph/rt/fs/file.hpp>
#include <heph/rt/net/unix.hpp>
#include <heph/rt/tls/stream.hpp>

#include "rt/on_runtime.hpp"
#include "rt_tls/certified.hpp"
#include "rt_tls/foreign_socket.hpp"

using namespace heph_tests;
using heph::task;
using heph::rt::buffer;
using heph::test::quiet_setup;
using heph::test::run_task;
using tls::errc;
using tls::kernel_offload;
namespace net = heph::rt::net;
namespace fs = heph::rt::fs;

namespace {

// What the kernel does, asked otherwise than the library does.
struct kernel_abilities {
    bool has_tls = false;
    bool changes_keys = false;

    kernel_abilities() {
        std::uint16_t port = 0;
        const int listener = loopback_socket(true, port);
        const int socket = loopback_socket(false, port);
        has_tls = ::setsockopt(socket, SOL_TCP, TCP_ULP, "tls", 4) == 0;
        tls12_crypto_info_aes_gcm_256 keys{};
        keys.info = {TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_256};
        constexpr int level = 282;
        changes_keys = ::setsockopt(socket, level, TLS_TX, &keys, sizeof keys) == 0 &&
                       ::setsockopt(socket, level, TLS_TX, &keys, sizeof keys) == 0;
        ::close(socket);
        ::close(listener);
    }
};

bool kernel_has_tls() {
    if (kernel_abilities().has_tls) { return true; }
    WARN("SKIPPED: this kernel has no TLS; tests/kernel/run has one that does");
    return false;
}

std::string text_of_size(std::size_t size) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i) { text[i] = static_cast<char>('a' + i * 7 % 26); }
    return text;
}

// One conversation: ours sends a text, a file, a text, and the file once more.
struct conversation {
    explicit conversation(std::size_t size = 700'000) : file_bytes(size) {}

    tls_choice choice{TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256"};
    bool ours_is_client = false;
    bool direct = false;  // Ours has no descriptor of the process's, where the kernel can do that.
    kernel_offload offload = kernel_offload::always;
    std::size_t file_bytes;

    authority ca;
    issued foreign_own = ca.issue("a");
    std::string text = text_of_size(file_bytes);
    temporary_file file{text};
    // What came of it: of ours, and of the foreign end.
    bool shaken = false;
    bool offloaded = false;
    std::error_code sending;
    std::error_code receiving;
    bool foreign_shaken = false;
    bool foreign_ended = false;
    int foreign_reason = 0;
    std::string foreign_got;
    // What the foreign end does between the two files.
    bool (*between)(foreign_connection&) = [](foreign_connection&) { return true; };
    bool foreign_did = false;

    [[nodiscard]] std::size_t first_bytes() const { return 7 + file_bytes; }
    [[nodiscard]] std::string whole() const { return "before " + text + " after " + text; }

    void be_foreign(int socket) {
        foreign_connection peer(socket, !ours_is_client, choice, foreign_own);
        foreign_shaken = peer.shaken();
        if (!foreign_shaken) { return; }
        foreign_got = peer.read(first_bytes());
        foreign_did = between(peer);  // Only the main thread and its worker check anything.
        peer.write("go");
        foreign_got += peer.read(10'000'000);
        foreign_ended = peer.ended();
        foreign_reason = peer.reason();
    }
    void run();
};

task<std::error_code> send_file_and_text(tls::stream& stream, const fs::file& file,
                                         std::size_t size, std::string text) {
    auto bytes = buffer::copy_of(text);
    auto sent = co_await stream.send_all(std::move(bytes));
    if (!sent) { co_return sent.error(); }
    auto whole = co_await stream.send_file(file, 0, size + 10);
    if (!whole) { co_return whole.error(); }
    CHECK(*whole == size);
    co_return std::error_code();
}

task<> converse(conversation* with, tls::stream stream) {
    auto opened = co_await fs::file::open(with->file.path());
    REQUIRE(opened);
    if (with->direct) { CHECK_FALSE(opened->make_direct()); }
    with->sending = co_await send_file_and_text(stream, *opened, with->file_bytes, "before ");
    with->offloaded = stream.is_offloaded();
    auto went = co_await stream.next();
    if (!went) {
        with->receiving = went.error();
    } else {
        CHECK(went->view() == "go");
        with->sending = co_await send_file_and_text(stream, *opened, with->file_bytes, " after ");
    }
    auto ended = co_await stream.shutdown();
    if (!ended && !with->sending) { with->sending = ended.error(); }
}

task<> converse_as_server(conversation* with, net::tcp_listener listener) {
    tls::server_config config(to_certificate(with->foreign_own));
    config.offload = with->offload;
    auto accepted = co_await listener.accept();
    REQUIRE(accepted);
    if (with->direct) { CHECK_FALSE(accepted->make_direct()); }
    auto stream = co_await tls::accept(std::move(*accepted), make_server_context(config));
    with->shaken = stream.has_value();
    if (stream) { co_await converse(with, std::move(*stream)); }
}

task<> converse_as_client(conversation* with, std::uint16_t port) {
    tls::client_config config = trust_in(with->ca);
    config.offload = with->offload;
    auto connected = co_await net::tcp_stream::connect(net::endpoint::loopback(port));
    REQUIRE(connected);
    auto stream =
        co_await tls::connect(std::move(*connected), make_client_context(config), std::string("a"));
    with->shaken = stream.has_value();
    if (stream) { co_await converse(with, std::move(*stream)); }
}

void conversation::run() {
    if (ours_is_client) {
        std::uint16_t port = 0;
        const int listener = loopback_socket(true, port);
        std::thread foreign(
            [&] { be_foreign(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC)); });
        run_task([&] { return converse_as_client(this, port); });
        foreign.join();
        ::close(listener);
    } else {
        std::thread foreign;
        run_task(quiet_setup().direct_descriptors(8), [&] {
            auto listener = net::tcp_listener::bind(net::endpoint::loopback(0));
            REQUIRE(listener);
            std::uint16_t port = listener->local_endpoint()->port();
            foreign =
                std::thread([this, port]() mutable { be_foreign(loopback_socket(false, port)); });
            return converse_as_server(this, std::move(*listener));
        });
        foreign.join();
    }
    CHECK(shaken);
    CHECK(foreign_shaken);
    CHECK(foreign_did);
}

template <typename Stream>
task<std::string> receive_all(Stream& stream, std::size_t size) {
    std::string got;
    while (got.size() < size) {
        auto chunk = co_await stream.next();
        if (!chunk || chunk->empty()) { break; }
        got += chunk->view();
    }
    co_return got;
}

constexpr std::array choices{
    tls_choice{TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256"},
    tls_choice{TLS1_3_VERSION, "TLS_AES_256_GCM_SHA384"},
    tls_choice{TLS1_3_VERSION, "TLS_CHACHA20_POLY1305_SHA256"},
    tls_choice{TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256"},
    tls_choice{TLS1_2_VERSION, "ECDHE-ECDSA-AES256-GCM-SHA384"},
    tls_choice{TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305"},
};

}  // namespace

TEST_CASE("tls offload: files and texts arrive whole with every cipher, whoever encrypts",
          "[rt][tls][offload]") {
    for (const tls_choice& choice : choices) {
        for (const bool ours_is_client : {false, true}) {
            conversation with;
            with.choice = choice;
            with.ours_is_client = ours_is_client;
            CAPTURE(choice.cipher, ours_is_client);
            with.run();
            CHECK_FALSE(with.sending);
            CHECK(with.foreign_ended);
            CHECK((with.foreign_got == with.whole()));
            CHECK(with.offloaded == kernel_abilities().has_tls);
        }
    }
}

TEST_CASE("tls offload: a direct descriptor makes no difference", "[rt][tls][offload][direct]") {
    conversation with;
    with.direct = true;
    with.run();
    CHECK_FALSE(with.sending);
    CHECK(with.foreign_ended);
    CHECK((with.foreign_got == with.whole()));
    CHECK(with.offloaded == kernel_abilities().has_tls);
}

TEST_CASE("tls offload: without being wanted the kernel gets no keys", "[rt][tls][offload]") {
    conversation with;
    with.offload = kernel_offload::off;
    with.run();
    CHECK_FALSE(with.offloaded);
    CHECK((with.foreign_got == with.whole()));
}

TEST_CASE("tls offload: small files are not worth it", "[rt][tls][offload]") {
    conversation with(100'000);
    with.run();
    CHECK_FALSE(with.offloaded);
    CHECK(with.foreign_ended);
}

TEST_CASE("tls offload: by itself only where TLS 1.3 may have new keys", "[rt][tls][offload]") {
    if (!kernel_has_tls()) { return; }
    const bool both = kernel_abilities().changes_keys;
    conversation newer;
    newer.offload = kernel_offload::automatic;
    newer.run();
    CHECK(newer.offloaded == both);
    conversation older;
    older.offload = kernel_offload::automatic;
    older.choice = choices[3];
    older.run();
    CHECK(older.offloaded);
    CHECK((older.foreign_got == older.whole()));
}

TEST_CASE("tls offload: a peer that asks for new keys gets them, unless the kernel keeps its own",
          "[rt][tls][offload]") {
    for (const kernel_offload offload : {kernel_offload::automatic, kernel_offload::always}) {
        conversation with;
        with.offload = offload;
        with.between = [](foreign_connection& peer) {
            return SSL_key_update(peer.ssl(), SSL_KEY_UPDATE_REQUESTED) == 1;
        };
        with.run();
        const kernel_abilities kernel;
        const bool kept = kernel.has_tls && !kernel.changes_keys;
        if (kept && offload == kernel_offload::always) {
            CHECK(with.offloaded);
            CHECK(with.sending == errc::key_update_refused);
            CHECK(with.foreign_reason == SSL_R_TLSV1_ALERT_INTERNAL_ERROR);
        } else {
            CHECK_FALSE(with.sending);
            CHECK(with.foreign_ended);
            CHECK((with.foreign_got == with.whole()));
        }
    }
}

TEST_CASE("tls offload: a peer learns from an alert that its record was bad",
          "[rt][tls][offload]") {
    for (const tls_choice& choice : {choices[0], choices[4]}) {
        conversation with;
        with.choice = choice;
        with.between = [](foreign_connection& peer) {
            std::string forged("\x17\x03\x03\x00\x40", 5);
            forged += std::string(64, 'x');
            return ::send(peer.socket(), forged.data(), forged.size(), MSG_NOSIGNAL) == 69;
        };
        with.run();
        CHECK(with.receiving == errc::bad_record);
        CHECK(with.foreign_reason == SSL_R_SSLV3_ALERT_BAD_RECORD_MAC);
        CHECK((with.foreign_got == "before " + with.text));
    }
}

TEST_CASE("tls offload: a connection that is no TCP sends files without the kernel",
          "[rt][tls][offload]") {
    run_task([]() -> task<> {
        const authority ca;
        const std::string text = text_of_size(300'000);
        const temporary_file file(text);
        auto sockets = net::unix_stream::pair();
        REQUIRE(sockets);
        tls::server_config config(to_certificate(ca.issue("a")));
        config.offload = kernel_offload::always;
        const auto server = make_server_context(config);
        const auto client = make_client_context(trust_in(ca));
        tls::basic_stream<net::unix_stream> from(std::move(sockets->first),
                                                 server.accept().value());
        tls::basic_stream<net::unix_stream> to(std::move(sockets->second),
                                               client.connect("a").value());
        auto opened = co_await fs::file::open(file.path());
        REQUIRE(opened);
        auto both = co_await heph::join(from.send_file(*opened, 5, text.size()),
                                        receive_all(to, text.size() - 5));
        CHECK(std::get<0>(both) == text.size() - 5);
        CHECK((std::get<1>(both) == text.substr(5)));
        CHECK_FALSE(from.is_offloaded());
        CHECK_FALSE(from.offload_for(text.size()));
    });
}

namespace {

// Polls a future so often, and gives it up.
template <typename Future>
class given_up {
public:
    using value_type = bool;
    given_up(Future tried, int polls) : tried_(std::move(tried)), polls_(polls) {}
    heph::polled<bool> poll(const heph::waker& waker) {
        const bool done = tried_->poll(waker).is_ready();
        if (!done && polls_-- > 0) { return heph::pending; }
        tried_.reset();
        return done;
    }

private:
    std::optional<Future> tried_;
    int polls_;
};

task<std::string> receive_to_end(tls::stream& stream, bool* ended) {
    std::string got;
    for (;;) {
        auto chunk = co_await stream.next();
        *ended = chunk && chunk->empty();
        if (!chunk || chunk->empty()) { break; }
        got += chunk->view();
    }
    co_return got;
}

task<bool> give_up_and_end(tls::stream& stream, const fs::file& file, std::size_t size, int polls) {
    given_up tried(stream.send_file(file, 0, size), polls);
    const bool done = co_await tried;
    const auto ended = co_await stream.shutdown();
    co_return !done && ended.has_value();
}

task<> send_part(int polls) {
    const authority ca;
    const std::string text = text_of_size(8'000'000);
    const temporary_file file(text);
    tls::server_config config(to_certificate(ca.issue("a")));
    config.offload = kernel_offload::always;
    auto listener = net::tcp_listener::bind(net::endpoint::loopback(0));
    auto connecting = net::tcp_stream::connect(listener->local_endpoint().value());
    auto connected = co_await std::move(connecting);
    auto accepted = co_await listener->accept();
    auto both = co_await heph::join(
        tls::connect(std::move(*connected), make_client_context(trust_in(ca)), std::string("a")),
        tls::accept(std::move(*accepted), make_server_context(config)));
    auto& client = std::get<0>(both);
    auto& server = std::get<1>(both);
    REQUIRE(client);
    REQUIRE(server);
    auto opened = co_await fs::file::open(file.path());
    REQUIRE(opened);
    bool ended = false;
    auto moved = co_await heph::join(give_up_and_end(*server, *opened, text.size(), polls),
                                     receive_to_end(*client, &ended));
    CHECK(std::get<0>(moved));
    CHECK(ended);
    const std::string& got = std::get<1>(moved);
    CHECK((got.size() < text.size() && text.starts_with(got)));
}

}  // namespace

TEST_CASE("tls offload: of a file that is given up comes a beginning, and then the end",
          "[rt][tls][offload]") {
    for (const int polls : {0, 1, 2, 5}) {
        run_task([polls] { return send_part(polls); });
    }
}
