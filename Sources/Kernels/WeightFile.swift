import CEdgeOpt
import CKernels
import CPlatform
import Model

/// A file of packed weights, mapped and so shared by the processes that use it. It names each entry by its form and by
/// what it was packed from: the identity of the model file (no need to read it) or a digest of the contents. A file
/// that is truncated, damaged, or made by another version of the library or for another instruction set has no entries.
///
/// All numbers are 64 bits wide: a header of 8 (magic, maker, model, count, file size, digest of the index, 0, 0); the
/// index of 6 for each entry (form, source identity, source contents, offset, byte count, digest of the bytes); then
/// the packed weights, 64-byte aligned.
final class WeightFile {
    /// How an entry is found.
    struct Label: Equatable {
        let form: UInt64
        /// 0: not known without reading the source.
        var identity: UInt64 = 0
        /// 0: not computed yet.
        var contents: UInt64 = 0

        init(form: UInt64) { self.form = form }

        init(_ form: String, _ source: Bytes) {
            self.form = WeightFile.digest(form, seed: UInt64(source.count))
            identity = source.identity
        }
    }
    struct Item {
        let label: Label
        let packed: Storage
    }
    private struct Entry {
        let label: Label
        let bytes: Bytes
        let digest: UInt64
        /// They are the bytes that were written.
        var isSound: Bool
    }

    let path: String
    /// Why an existing file is not used.
    private(set) var complaint: Sentence?
    private let model: UInt64
    private var entries: [Entry] = []
    /// The file was made for this model: entries that were not asked for may serve another interpreter.
    private var isOurs = false
    /// Of the index, and so of all that is in the file.
    private var seal: UInt64 = 0
    private var isSealed = false

    private static let magic: UInt64 = 0x31_5457_4f45_4745  // "EGEOWT1"
    /// To be raised when a packed layout changes while its form keeps its name.
    private static let revision = 4
    private static let headerWords = 8
    private static let entryWords = 6
    /// More than any model has constants.
    private static let mostEntries = 1 << 20

    init(_ path: String, model: UInt64) {
        self.path = path
        self.model = model
        var storage: Storage?
        do throws(Failure) { storage = try Storage.map(path: path) } catch {}
        // A file that is not there yet is no reason to complain.
        guard let storage else { return }
        if let problem = read(Bytes(storage)) {
            entries = []
            complaint = "\(path): is not used as packed-weight file: \(problem)"
        }
    }

    /// Which library made the file, for which instructions.
    private static var maker: UInt64 {
        digest(String(cString: platform_version()) + " " + String(cString: kernels_isa_name()), seed: UInt64(revision))
    }

    // MARK: Reading

    private func read(_ bytes: Bytes) -> Sentence? {
        guard bytes.count >= Self.headerWords * 8 else { return "it is too short" }
        let header = words(bytes, 0, Self.headerWords)
        guard header[0] == Self.magic else { return "it is something else" }
        guard header[1] == Self.maker else { return "it was made by another version or for other instructions" }
        seal = header[5]
        isSealed = path.withCString { platform_is_sealed($0, seal) }
        guard header[4] == UInt64(bytes.count) else { return "it has another size than it should" }
        let count = Int(truncatingIfNeeded: header[3])
        let indexBytes = count &* Self.entryWords &* 8
        guard count >= 0, count <= Self.mostEntries,
            let index = bytes.slice(offset: Self.headerWords * 8, count: indexBytes),
            WeightFile.contents(of: index) == header[5]
        else { return "its index is damaged" }
        for number in 0..<count {
            let entry = words(index, number * Self.entryWords, Self.entryWords)
            guard let offset = Int(exactly: entry[3]), let size = Int(exactly: entry[4]), offset % 64 == 0,
                let payload = bytes.slice(offset: offset, count: size)
            else { return "its index is damaged" }
            var label = Label(form: entry[0])
            label.identity = entry[1]
            label.contents = entry[2]
            entries.append(Entry(label: label, bytes: payload, digest: entry[5], isSound: isSealed))
        }
        isOurs = header[2] == model
        return nil
    }

    private func words(_ bytes: Bytes, _ first: Int, _ count: Int) -> [UInt64] {
        (first..<first + count).map { bytes.baseAddress.load(fromByteOffset: $0 * 8, as: UInt64.self) }
    }

    /// The entry with this label, if it has `count` undamaged bytes. Completes the label.
    func packed(_ label: inout Label, _ source: Bytes, count: Int) -> Storage? {
        guard !entries.isEmpty else { return nil }
        let (form, identity) = (label.form, label.identity)
        var found = entries.firstIndex { identity != 0 && $0.label.form == form && $0.label.identity == identity }
        if found == nil, entries.contains(where: { $0.label.form == form }) {
            label.contents = WeightFile.contents(of: source.source)
            source.source.forget()
            let contents = label.contents
            found = entries.firstIndex { $0.label.form == form && $0.label.contents == contents }
        }
        guard let found, entries[found].bytes.count == count else { return nil }
        if !entries[found].isSound {
            guard WeightFile.contents(of: entries[found].bytes) == entries[found].digest else { return nil }
            entries[found].isSound = true
        }
        label.contents = entries[found].label.contents
        return entries[found].bytes.storage.part(offset: entries[found].bytes.offset, count: count)
    }

    // MARK: Writing

    /// Writes a file with `items`, unless this one has them all.
    func save(_ items: [Item]) throws(Failure) {
        guard items.contains(where: { item in !has(item.label) }) else {
            // Whoever reads it next need not look at its bytes again.
            if !isSealed, !entries.isEmpty, entries.allSatisfy({ $0.isSound }) { sealFile() }
            return
        }
        var written = items.map { Entry(label: $0.label, bytes: Bytes($0.packed), digest: 0, isSound: true) }
        if isOurs {
            for entry in entries
            where !items.contains(where: {
                $0.label.form == entry.label.form && $0.label.contents == entry.label.contents
            }) {
                written.append(entry)
            }
        }
        for index in written.indices where written[index].digest == 0 {
            let entry = written[index]
            written[index] = Entry(
                label: entry.label, bytes: entry.bytes, digest: WeightFile.contents(of: entry.bytes), isSound: true)
        }
        try write(written)
        // Those nobody asked for may be damaged.
        if written.allSatisfy({ $0.isSound }) { sealFile() }
        entries = written
        isOurs = true
        complaint = nil
    }

    private func sealFile() {
        path.withCString { platform_seal($0, seal) }
        isSealed = true
    }

    private func has(_ label: Label) -> Bool {
        entries.contains { $0.isSound && $0.label.form == label.form && $0.label.contents == label.contents }
    }

    private func write(_ entries: [Entry]) throws(Failure) {
        var offset = (Self.headerWords + entries.count * Self.entryWords) * 8
        var index: [UInt64] = []
        var payloads: [(padding: Int, bytes: Bytes)] = []
        for entry in entries {
            let padding = -offset & 63
            payloads.append((padding, entry.bytes))
            offset += padding
            index += [
                entry.label.form, entry.label.identity, entry.label.contents, UInt64(offset), UInt64(entry.bytes.count),
                entry.digest,
            ]
            offset += entry.bytes.count
        }
        let indexDigest = index.withUnsafeBytes {
            $0.baseAddress.map { base in eo_digest(base, index.count * 8, 0) | 1 } ?? 1
        }
        seal = indexDigest
        let header: [UInt64] = [
            Self.magic, Self.maker, model, UInt64(entries.count), UInt64(offset), indexDigest, 0, 0,
        ]
        let start = try Bytes(copying: header + index)
        let zeros = try Storage.allocate(64)
        var parts = [platform_part(base: start.baseAddress, size: start.count)]
        for payload in payloads {
            parts.append(platform_part(base: Bytes(zeros).baseAddress, size: payload.padding))
            parts.append(platform_part(base: payload.bytes.baseAddress, size: payload.bytes.count))
        }
        // Not durable: what a power failure leaves is found damaged and made again.
        let error = path.withCString { platform_write_file($0, parts, parts.count, false) }
        guard error == 0 else {
            throw Failure(EO_FILE_ERROR, "\(path): the packed weights cannot be written: \(systemMessage(error))")
        }
    }

    // MARK: Digests

    static func digest(_ text: String, seed: UInt64) -> UInt64 {
        var text = text
        return text.withUTF8 { utf8 in
            guard let base = utf8.baseAddress else { return seed }
            return eo_digest(base, utf8.count, seed)
        }
    }

    /// Never 0.
    static func contents(of bytes: Bytes) -> UInt64 { eo_digest(bytes.baseAddress, bytes.count, 0) | 1 }
}
