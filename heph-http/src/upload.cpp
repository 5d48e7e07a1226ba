#include <cerrno>
#include <exception>
#include <limits>
#include <memory>
#include <optional>
#include <system_error>

#include <fcntl.h>
#include <unistd.h>

#include <heph/http/multipart.hpp>
#include <heph/http/upload.hpp>
#include <heph/rt/blocking.hpp>
#include <heph/rt/buffer.hpp>
#include <heph/rt/fs/paths.hpp>

namespace heph::http {

namespace {

// So much is gathered for one write.
constexpr std::size_t gathered_bytes = 64 * 1024;

using outcome = std::expected<void, error>;

outcome not_stored(request& asked, const upload_options& options, std::error_code why) {
    asked.report_failure(std::make_exception_ptr(
        std::system_error(why, "an upload cannot be stored in " + options.folder.string())));
    return std::unexpected(error::handler_failed);
}

multipart_limits parts_of(const upload_options& options) noexcept {
    multipart_limits bounds;
    const std::size_t most = std::numeric_limits<std::size_t>::max();
    const bool fits = options.files_max <= most - options.fields_max;
    bounds.parts_max = fits ? options.files_max + options.fields_max : most;
    return bounds;
}

}  // namespace

/// Fills a form from what is read. *Lifetime*: all it is made of outlives it.
class upload_receiver {
public:
    upload_receiver(request& from, multipart_reader& reader, const upload_options& options)
        : from_(&from), reader_(&reader), options_(&options) {}

    task<std::expected<uploaded_form, error>> run() {
        using result = std::expected<uploaded_form, error>;
        for (;;) {
            const auto part = co_await reader_->next_part();
            if (!part) { co_return result(std::unexpect, part.error()); }
            if (*part == nullptr) { co_return result(std::move(form_)); }
            // A copy: it is another one when the next begins.
            form_part copy = **part;
            auto taking = copy.filename ? take_file(std::move(copy)) : take_field(std::move(copy));
            const outcome taken = co_await std::move(taking);
            if (!taken) { co_return result(std::unexpect, taken.error()); }
        }
    }

private:
    task<outcome> take_field(form_part part) {
        if (form_.fields_.size() == options_->fields_max) {
            co_return outcome(std::unexpect, error::too_many_fields);
        }
        auto value = co_await reader_->read_part(options_->field_bytes_max);
        if (!value) { co_return outcome(std::unexpect, value.error()); }
        form_.fields_.append(std::move(part.name), std::move(*value));
        co_return outcome();
    }

    task<outcome> take_file(form_part part) {
        auto piece = co_await reader_->next();
        if (!piece) { co_return outcome(std::unexpect, piece.error()); }
        // What browsers send for a field without a file.
        if (piece->empty() && part.filename->empty()) { co_return outcome(); }
        if (form_.files_.size() == options_->files_max) {
            co_return outcome(std::unexpect, error::too_many_fields);
        }
        auto opened = co_await rt::fs::create_unnamed(options_->folder);
        if (!opened) { co_return not_stored(*from_, *options_, opened.error()); }
        rt::fs::file file = std::move(*opened);
        std::uint64_t size = 0;
        rt::buffer gathered;
        while (!piece->empty()) {
            if (piece->size() > options_->file_bytes_max - size - gathered.size()) {
                co_return outcome(std::unexpect, error::body_too_large);
            }
            gathered.append(*piece);
            piece = co_await reader_->next();
            if (!piece) { co_return outcome(std::unexpect, piece.error()); }
            if (gathered.size() < gathered_bytes && !piece->empty()) { continue; }
            const std::size_t written = gathered.size();
            // The piece stays valid meanwhile: it is the reader's until the next call.
            auto done = co_await file.write_at(std::move(gathered), size);
            if (!done) { co_return not_stored(*from_, *options_, done.error()); }
            size += written;
            gathered = std::move(*done);
            gathered.clear();
        }
        form_.files_.emplace_back(std::move(part.name), *std::move(part.filename),
                                  std::move(part.content_type), std::move(file), size);
        co_return outcome();
    }

    request* from_;
    multipart_reader* reader_;
    const upload_options* options_;
    uploaded_form form_;
};

uploaded_file* uploaded_form::file(std::string_view field) noexcept {
    for (uploaded_file& each : files_) {
        if (each.field() == field) { return &each; }
    }
    return nullptr;
}

task<std::expected<void, std::error_code>> uploaded_file::keep_as(std::filesystem::path path) {
    // With a descriptor of its own, so that it does not matter if this object goes meanwhile.
    const int again = ::fcntl(content_.descriptor(), F_DUPFD_CLOEXEC, 0);
    if (again < 0) { co_return std::unexpected(std::error_code(errno, std::system_category())); }
    rt::fs::file copy(again);
    auto owned = std::make_shared<const rt::fs::file>(std::move(copy));
    auto linking = rt::spawn_blocking([owned = std::move(owned), path = std::move(path)] {
        const std::string itself = "/proc/self/fd/" + std::to_string(owned->descriptor());
        const int failed =
            ::linkat(AT_FDCWD, itself.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW);
        return failed == 0 ? std::error_code() : std::error_code(errno, std::system_category());
    });
    const std::error_code failed = co_await linking;
    if (failed) { co_return std::unexpected(failed); }
    co_return std::expected<void, std::error_code>();
}

task<std::expected<uploaded_form, error>> receive_upload(request& from, upload_options options) {
    from.set_body_limit(options.bytes_max);
    auto reader = multipart_reader::of(from, parts_of(options));
    if (!reader) { co_return std::expected<uploaded_form, error>(std::unexpect, reader.error()); }
    upload_receiver receiver(from, *reader, options);
    auto received = co_await receiver.run();
    co_return received;
}

}  // namespace heph::http
