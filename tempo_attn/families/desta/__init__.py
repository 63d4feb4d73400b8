"""DeSTA2.5-Audio: the class of the package `desta`, called with clips and transcripts in memory."""
