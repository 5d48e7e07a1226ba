// Has to be refused: an exception half-way through a batch would lose a message.
#include <array>

#include <heph/inbox/channel.hpp>

struct throws {
    throws() = default;
    throws(throws&&) = default;
    throws& operator=(throws&&) noexcept(false) { return *this; }
};

int main() {
    auto [tx, rx] = heph::inbox::channel<throws>(1);
    std::array<throws, 2> out;
    return static_cast<int>(rx.try_recv_many(out));
}
