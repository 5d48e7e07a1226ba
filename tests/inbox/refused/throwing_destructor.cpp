// Has to be refused: a channel destroys messages where nobody could catch what they throw.
#include <heph/inbox/oneshot.hpp>

struct throws {
    ~throws() noexcept(false) {}
};

int main() {
    auto [tx, rx] = heph::inbox::oneshot<throws>();
    return rx.is_connected() ? 0 : 1;
}
