#include "socks_proxy.hpp"

#include <arpa/inet.h>

#include <array>
#include <cstddef>
#include <optional>
#include <utility>

namespace heph::http::test {

namespace {

using namespace std::string_literals;

/// Reads so many bytes at a time.
class socks_reader {
public:
    explicit socks_reader(relay_link& from) : from_(&from) {}

    /// Gives `size` bytes; nothing when the client ends before.
    std::optional<std::string> read(std::size_t size) {
        while (bytes_.size() < size) {
            const auto more = from_->receive();
            if (!more) { return std::nullopt; }
            bytes_ += *more;
        }
        std::string taken = bytes_.substr(0, size);
        bytes_.erase(0, size);
        return taken;
    }
    /// Gives what stands behind a byte that tells its length.
    std::optional<std::string> read_text() {
        const auto size = read(1);
        return size ? read(static_cast<unsigned char>(size->front())) : std::nullopt;
    }

private:
    relay_link* from_;
    std::string bytes_;
};

/// Agrees on who the client is.
bool greet(socks_reader& reader, relay_link& client, const socks_rules& rules) {
    const auto version = reader.read(1);
    const auto methods = version ? reader.read_text() : std::nullopt;
    if (!methods || *version != "\x05") { return false; }
    if (rules.user.empty()) { return client.send("\x05\x00"s); }
    if (methods->find('\x02') == std::string::npos) {
        (void)client.send("\x05\xff"s);
        return false;
    }
    if (!client.send("\x05\x02"s) || reader.read(1) != "\x01") { return false; }
    const auto user = reader.read_text();
    const auto password = user ? reader.read_text() : std::nullopt;
    const bool known = password && *user == rules.user && *password == rules.password;
    return client.send(known ? "\x01\x00"s : "\x01\x01"s) && known;
}

/// Reads an address of any type, as a text.
std::optional<std::string> read_host(socks_reader& reader, std::string& kind) {
    const auto type = reader.read(1);
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (type == "\x03") {
        kind = "name";
        return reader.read_text();
    }
    const bool is_v4 = type == "\x01";
    if (!is_v4 && type != "\x04") { return std::nullopt; }
    kind = is_v4 ? "v4" : "v6";
    const auto bytes = reader.read(is_v4 ? 4 : 16);
    if (!bytes) { return std::nullopt; }
    return ::inet_ntop(is_v4 ? AF_INET : AF_INET6, bytes->data(), text.data(), text.size());
}

int open(relay_link& client, std::string& told, const socks_rules& rules) {
    socks_reader reader(client);
    if (!greet(reader, client, rules) || reader.read(3) != "\x05\x01\x00"s) { return -1; }
    std::string kind;
    const auto host = read_host(reader, kind);
    const auto port = host ? reader.read(2) : std::nullopt;
    if (!port) { return -1; }
    const auto number = static_cast<std::uint16_t>(static_cast<unsigned char>((*port)[0]) << 8U |
                                                   static_cast<unsigned char>((*port)[1]));
    told = kind + ' ' + *host + ' ' + std::to_string(number);
    std::uint8_t reply = rules.reply ? rules.reply(*host) : 0;
    const int server = reply == 0 ? connect_to_loopback(number) : -1;
    if (reply == 0 && server < 0) { reply = 5; }
    (void)client.send("\x05"s + static_cast<char>(reply) + "\x00\x01\x00\x00\x00\x00\x00\x00"s);
    return server;
}

}  // namespace

relay_opener open_by_socks(socks_rules rules) {
    return [all = std::move(rules)](relay_link& client, std::string& told) {
        return open(client, told, all);
    };
}

}  // namespace heph::http::test
