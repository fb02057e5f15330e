/// The notation of the chapters, for `--help` and for whoever writes one.
public enum Notation {
    /// A paragraph for readers and a list for authors.
    public static let text = """
        How to read a transcript (a code block marked “console”):
          # command      run by root
          $ command      run by an ordinary user
          > more         the command goes on
          [exit 1]       the command failed with this status; 128 + n: signal n ended it
          …              in a line: any characters; alone in a line: any number of lines
        Everything else is output, standard error included. White space at the end of a
        line does not count. The commands of a chapter run in order in one directory,
        which holds rootfs/, a small root file system; what they leave running is killed
        at the end of the chapter.

        How to write a chapter:
          <!-- source: Sources/A/B.swift#region -->   the code block below is this region
          <!-- source: Sources/A/B.swift -->          or this whole file
          <!-- setup: command -->                     run before what follows, not shown
          <!-- not run: reason -->                    the transcript below is not run
        and in the source: // book: begin region … // book: end region, a line each.
        """
}
