// How a connection's keys come to the kernel.

#include <new>
#include <string_view>
#include <utility>

#include "../net/kernel_tls.hpp"
#include "engine_state.hpp"

namespace heph::rt::tls {

namespace {

// Older releases of OpenSSL do not log the keys after a change.
bool logs_changed_keys() noexcept { return OpenSSL_version_num() >= 0x30000070UL; }

int state_index() {
    static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
    return index;
}

void take_key_line(const SSL* connection, const char* line) {
    auto* self = static_cast<engine::state*>(SSL_get_ex_data(connection, state_index()));
    if (self == nullptr || !self->sent.note_key_line(line, self->traits.is_client)) { return; }
    if (!self->offloaded) { return; }
    // OpenSSL has told the peer of them.
    try {
        control_record changed;
        changed.keys = std::make_unique<kernel_keys>();
        if (self->sent.make_keys(self->ssl.get(), self->traits.is_client, *changed.keys)) {
            self->controls.push_back(std::move(changed));
            return;
        }
    } catch (const std::bad_alloc&) {}
    (void)self->fail(errc::internal);
}

void take_message(int is_sent, int /*version*/, int kind, const void* bytes, std::size_t size,
                  SSL* /*connection*/, void* argument) {
    if (is_sent == 0) { return; }
    auto& self = *static_cast<engine::state*>(argument);
    const std::span from(static_cast<const std::byte*>(bytes), size);
    if (kind == SSL3_RT_HEADER) {
        self.sent.note_record(std::to_integer<int>(from.front()));
        return;
    }
    if (!self.offloaded || (kind != SSL3_RT_ALERT && kind != SSL3_RT_HANDSHAKE)) { return; }
    try {
        control_record wanted;
        wanted.type = static_cast<std::uint8_t>(kind);
        wanted.bytes.append(from);
        self.controls.push_back(std::move(wanted));
    } catch (const std::bad_alloc&) { (void)self.fail(errc::internal); }
}

}  // namespace

void engine::state::follow_keys(SSL_CTX* context, kernel_offload offload) noexcept {
    if (offload != kernel_offload::off) { SSL_CTX_set_keylog_callback(context, take_key_line); }
}

void engine::state::follow_records() noexcept {
    SSL_set_ex_data(ssl.get(), state_index(), this);
    SSL_set_msg_callback(ssl.get(), take_message);
    SSL_set_msg_callback_arg(ssl.get(), this);
    lines.watch_output(&sent);
}

void engine::state::answer_key_update() noexcept {
    if (failure || write_closed || SSL_get_key_update_type(ssl.get()) == SSL_KEY_UPDATE_NONE) {
        return;
    }
    ERR_clear_error();
    if (SSL_key_update(ssl.get(), SSL_KEY_UPDATE_NOT_REQUESTED) != 1 ||
        SSL_do_handshake(ssl.get()) != 1) {
        (void)take_reason();
        (void)fail(errc::internal);
    }
}

bool engine::state::hand_over(int socket) noexcept {
    if (offloaded) { return true; }
    if (traits.offload == kernel_offload::off || offload_refused || !done || failure ||
        write_closed || SSL_get_key_update_type(ssl.get()) != SSL_KEY_UPDATE_NONE) {
        return false;
    }
    // Whatever speaks against it now does so later, too.
    offload_refused = true;
    const rt::detail::kernel_tls kernel = rt::detail::kernel_tls_support();
    const bool may_change = SSL_version(ssl.get()) == TLS1_3_VERSION;
    if (kernel == rt::detail::kernel_tls::none || (may_change && !logs_changed_keys()) ||
        (kernel == rt::detail::kernel_tls::keys_stay && may_change &&
         traits.offload != kernel_offload::always)) {
        return false;
    }
    kernel_keys keys;
    if (!sent.make_keys(ssl.get(), traits.is_client, keys) ||
        rt::detail::prepare_for_keys(socket) || rt::detail::give_keys(socket, keys.bytes())) {
        return false;
    }
    offloaded = true;
    lines.drop_output();
    lines.watch_output(nullptr);
    return true;
}

}  // namespace heph::rt::tls
